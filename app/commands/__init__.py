"""The commands of `docsheet`, one file each."""
