"""Classes of nuclei: the file that holds a classifier, and its use."""
