"""Pure functions of arrays that compare a prediction with a reference."""
