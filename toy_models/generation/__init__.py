"""What trained models generate, and how good and how coherent it is."""
