"""Frame descriptors centred by what is known of their own traverse, without labels."""
