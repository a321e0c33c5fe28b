"""Named settings, one YAML file each."""
