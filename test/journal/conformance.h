/* The list of promises; each takes a row (struct row) as its state. Numbers are those of the journal's contract. */
#ifndef MU_TEST_JOURNAL_CONFORMANCE_H
#define MU_TEST_JOURNAL_CONFORMANCE_H

#include "journal/rig.h"

/* X(name, what a backend must have for it to mean anything) */
#define CONFORMANCE_MAP(X)                                                  \
    X(c1_reopened_it_is_the_same, any)                                      \
    X(c2_many_of_every_size, any)                                           \
    X(c3_the_largest_fits_and_one_more_byte_does_not, any)                  \
    X(c4_of_five_candidates_one_leads_at_a_time, shared)                    \
    X(c4_a_lead_is_taken_while_the_old_lease_lives, wire)                   \
    X(c4_a_lead_taken_over_before_it_began, wire)                           \
    X(c5_c11_killed_at_any_moment_nothing_acknowledged_is_lost, files)      \
    X(c6_a_lead_begins_after_all_before_it_was_read, wire)                  \
    X(c7_an_append_that_arrives_after_the_takeover_is_fenced, wire)         \
    X(c9_a_lost_request_or_reply_changes_nothing, wire)                     \
    X(c10_a_late_copy_is_never_taken, any)                                  \
    X(c11_crashed_between_any_two_turns_nothing_acknowledged_is_lost, wire) \
    X(c11_killed_at_any_write_or_sync, files)                               \
    X(c11_power_cut_at_any_write_or_sync, files)                            \
    X(c12_a_wrong_epoch_or_seq_is_refused_at_once, any)                     \
    X(c12_the_engine_refuses_by_each_condition_alone, any)                  \
    X(c13_space_ends_at_any_write, files)                                   \
    X(c13_a_full_disk_refuses_and_goes_on, files)                           \
    X(c13_a_full_store_refuses_and_goes_on, wire)                           \
    X(c13_full_is_never_said_of_what_may_still_arrive, wire)                \
    X(c15_the_storage_fails_at_any_write, files)                            \
    X(c15_the_storage_fails_at_any_sync, files)                             \
    X(c15_a_broken_store_is_fatal, wire)                                    \
    X(c18_a_flipped_bit_is_never_data, any)                                 \
    X(c18_a_flipped_bit_in_the_log_is_never_a_shorter_journal, files)       \
    X(c18_a_torn_end_is_what_was_not_acknowledged, files)                   \
    X(c18_a_record_that_does_not_follow_is_refused, any)                    \
    X(c18_a_lost_tail_is_seen, any)                                         \
    X(c19_snapshots_of_every_size, any)                                     \
    X(c19_cut_off_between_any_two_puts, wire)                               \
    X(c19_a_bad_snapshot_is_passed_over_while_its_records_are_there, any)   \
    X(c19_what_reads_back_differently_is_never_relied_on, wire)             \
    X(c20_a_follower_below_the_floor_loads, shared)                         \
    X(c22_a_snapshot_holds_nothing_that_is_in_flight, any)                  \
    X(c22_a_snapshot_of_an_earlier_moment, any)                             \
    X(c23_resign_under_load_loses_nothing, any)                             \
    X(c26_clocks_that_jump_change_nothing, any)                             \
    X(c26_validity_counts_from_the_sending, wire)                           \
    X(c29_unknown_is_told_and_the_truth_comes_later, wire)                  \
    X(c30_close_completes_what_is_open, any)                                \
    X(c31_an_older_copy_is_refused_unless_meant, files)                     \
    X(c33_snapshots_keep_a_long_run_small, any)                             \
    X(c34_confirm_never_says_yes_on_the_losing_side, shared)                \
    X(s1_a_folder_in_use_is_refused_by_name, files)                         \
    X(s2_a_newer_format_is_refused, files)                                  \
    X(s3_only_a_local_disk_will_do, files)                                  \
    X(s4_tools_read_and_never_write, files)

#define X(name, needs) void name(void **state);
CONFORMANCE_MAP(X)
#undef X

#endif
