"""Plain ``nn.Module`` building blocks that several methods share. No files, no devices, no command line."""
