"""Pure functions on arrays that compare a prediction with a reference."""
