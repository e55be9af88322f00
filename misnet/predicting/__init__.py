"""What a trained network says of one sample: its scores, how they form, which modality decides, what it costs."""
