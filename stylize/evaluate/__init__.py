"""The benchmark of style transfer: material, systems, measures, tables. The command is `scripts.evaluate`."""
