"""What the papers print, as data, and that the recipes have it."""
