"""The networks that can be trained, evaluated and audited."""
