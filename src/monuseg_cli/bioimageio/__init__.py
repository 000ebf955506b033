"""Models as packages of the BioImage Model Zoo (bioimage.io)."""
