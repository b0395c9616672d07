"""One module per figure: its claim, its computation, its drawing.  Run `python -m figures`."""
