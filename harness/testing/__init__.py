"""Public fakes and sample records, for rehearsing without hardware and for the tests of whoever extends the harness."""
