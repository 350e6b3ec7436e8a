"""An emulated board whose power is scripted: the kernel's own sensor drivers on chips whose registers are played."""
