"""The commands of `docsheet`, one file each; what one command alone uses begins with its name."""
