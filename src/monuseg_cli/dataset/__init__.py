"""From archives to images, annotations, masks and patches."""
