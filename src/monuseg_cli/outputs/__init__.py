"""Files of a prediction: which ones, and their formats, written as the nuclei are found."""
