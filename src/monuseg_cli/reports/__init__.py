"""HTML reports of a prediction: of one slide, and of several."""
