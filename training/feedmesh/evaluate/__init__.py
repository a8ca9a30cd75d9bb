"""Quality of the models on public and on any data: full ranking, per-head AUC, calibration, cost."""
