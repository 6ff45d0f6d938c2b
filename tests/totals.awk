# totals.awk - sums the summaries that automake prints in one or more logs of make check.
/^# PASS:/ { passed += $3 }
/^# (FAIL|ERROR|XPASS):/ { failed += $3 }
/^# SKIP:/ { skipped += $3 }
END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
