"""Tests that ``make test-fast`` leaves out: those that take seconds of a core, by measurement.

``make test-fast`` ends with its slowest tests. What takes more than two seconds belongs here,
unless no other test checks that identity of networks, rules, statistics, claims or settings.
"""

from __future__ import annotations

SLOW = (
    # whole runs
    "cells/",
    "test_properties.py",
    "test_scripts.py",
    "cli/test_main.py::test_a_run_leaves_its_files",
    "cli/test_main.py::test_the_json_keeps_its_schema",
    "cli/test_main.py::test_the_table_is_tidy",
    "cli/test_main.py::test_every_claim_has_a_plot_in_two_formats",
    "cli/test_main.py::test_the_page_is_self_contained_and_shows_every_claim",
    "cli/test_main.py::test_the_terminal_shows_verdicts_and_the_reports_path",
    "cli/test_main.py::test_a_second_run_reuses_every_network_and_a_fresh_one_none",
    "cli/test_main.py::test_a_damaged_stored_network_is_measured_again",
    "cli/test_main.py::test_a_report_is_rebuilt_from_stored_results",
    "cli/test_main.py::test_strict_turns_an_undecided_claim_into_status_1",
    "cli/test_main.py::test_an_interrupt_keeps_what_is_finished",
    "cli/test_main.py::test_a_flow_that_diverges_ends_as_labelled_rows_and_status_3",
    "cli/test_main.py::test_a_cell_that_runs_out_of_memory_is_a_labelled_row",
    "cli/test_main.py::test_the_table_says_what_each_flow_took",
    "cli/test_main.py::test_dead_layers_are_labelled",
    "cli/test_main.py::test_claims_can_be_chosen",
    "cli/test_experiment.py::test_the_add_task_leaves_its_files_with_fixed_columns",
    "cli/test_experiment.py::test_images_are_trained_on",
    "cli/test_experiment.py::test_two_experiments_in_one_command",
    "cli/test_experiment.py::test_other_seeds_variants_and_precisions_are_other_runs",
    "cli/test_experiment.py::test_plots_are_drawn",
    "cli/test_experiment.py::test_a_figure_and_a_table_share_their_runs",
    "cli/test_experiment.py::test_imagenet_is_trained_on_from_its_folder",
    "cli/test_experiment.py::test_an_interrupted_command_goes_on",
    "cli/test_experiment.py::test_fresh_trains_again_and_more_epochs_go_on",
    "experiments/test_streamed.py",
    "experiments/test_memory.py::test_the_estimate_is_near_what_the_compiler_says",
    "test_benchmarks.py::test_training_in_plain_jax_is_the_same_training",
    "test_benchmarks.py::test_every_form_of_the_convolution_trains_the_same_network",
    "claims/test_own_claim.py",
    "runs/test_store.py::test_one_more_claim_trains_only_what_it_needs",
    "runs/test_until_decided.py::test_a_run_that_is_not_decided_goes_on_until_the_budget_is_gone",
    "runs/test_until_decided.py::test_looking_often_costs_no_coverage",
    "runs/test_store.py::test_asking_in_steps_gives_the_numbers_of_asking_at_once_bit_for_bit",
    "runs/test_store.py::test_the_same_holds_for_kernels",
    "networks/test_shared_outputs.py::test_outputs_of_one_seed_agree_ever_better",
    "networks/test_shared_outputs.py::test_the_option_decides_what_is_trained",
    "quantities/test_theory.py::test_feedback_drift_is_that_of_each_rules_own_jacobian",
    "quantities/test_measuring.py::test_the_catalogues_order_decides_and_not_that_of_the_wish",
    # flows and kernels of many shapes
    "flow/test_gradient_flow.py",
    "kernels/",
    "flow/spectral/test_spectral_flow.py",
    "flow/test_one_place.py::test_a_flow_is_that_of_dense_layers",
    "flow/test_tied_engines.py",
    "flow/test_tied_weights.py",
    # other processes
    "training/test_trainer.py::test_a_run_that_is_killed_goes_on",
    "training/test_trainer.py::test_points_that_come_in_stretches_give_the_same_bits",
    "test_precision.py::test_every_entry_computes_what_it_does_in_float64_for_good",
    "test_precision.py::test_the_users_own_computation_stays_as_it_is",
    "test_precision.py::test_without_scopes_every_entry_would_compute_something_else",
    "test_layers.py",
    "test_wheel.py",
)
"""How the tests' identifiers begin, after ``tests/``."""
