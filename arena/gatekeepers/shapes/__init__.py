"""The shapes of rows that people own, each read by one small module into the same `Row`.

The gates and the trainer both read rows through `reading.read_row`, so that what was checked is what is learned.
"""
