"""Studies: each module reads the run folders of one experiment, computes its table and draws its figure.

``scripts/`` runs a module from the command line. A study named by ``--out OUT`` writes ``OUT.md`` and ``OUT.png``.
"""
