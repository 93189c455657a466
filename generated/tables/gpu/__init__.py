"""CuPy modules of tables, for activations without a closed form."""
