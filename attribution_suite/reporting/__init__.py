"""From the tables of a run to a summary for the terminal, figures and one self-contained HTML file."""
