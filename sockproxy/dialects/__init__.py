"""Which foreign wires are spoken? One file each, and none reaches a backend by itself."""
