"""How stages run: contract, runner, DVC, pods, the grid on Ray."""
