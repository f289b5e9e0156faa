"""What inference needs and every other room shares: errors, files, configuration, model folders, audio, mel."""
