"""What the paper prints: its tables as data, its contradictions, its energies beside operations counted here."""
