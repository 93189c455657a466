"""What a kernel machine predicts: linear solves, training dynamics, posteriors."""
