"""The report of a tuning run, as one page; `page.py` is the door."""
