"""The sync expert that atl_evaluation judges with: data, network, training, figures. No training of a model uses it."""
