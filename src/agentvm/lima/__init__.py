"""The port on Lima: limactl, ssh, and the directories in which Lima keeps its instances."""
