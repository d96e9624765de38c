"""The Armory: all settings of the realm, looked at and changed from a page, in the one file that they stand in."""
