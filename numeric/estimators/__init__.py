"""Kernel machines in the form of scikit-learn, and how their ridge is chosen."""
