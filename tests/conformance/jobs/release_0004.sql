-- What the release with schema 0004 wrote, by its own code: studies delivered, dead, waiting, running, open and in conflict.
INSERT INTO destinations (destination, down_since, failures, probe_at, probing, reason, answered_at) VALUES
  ('pacs', NULL, 0, NULL, FALSE, '', '2026-01-01 00:00:01.000000'),
  ('record', '2026-10-18 08:00:00.000000', 0, '2026-10-18 08:00:05.000000', FALSE, 'nobody answers', NULL);
INSERT INTO housekeeping (task, started_at, seconds, succeeded, succeeded_at, note) VALUES
  ('reap', '2026-10-18 08:00:00.000000', 0.25, TRUE, '2026-10-18 08:00:00.250000', '');
INSERT INTO jobs (id, kind, state, subject_id, attempt, max_attempts, run_at, created_at, lease_owner, lease_expires_at, finished_at, reason, priority, hastened) VALUES
  (1, 'analyse', 'done', 1, 1, 3, '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', NULL, NULL, '2026-01-01 00:00:01.000000', NULL, 0, FALSE),
  (2, 'deliver', 'done', 1, 1, 12, '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', NULL, NULL, '2026-01-01 00:00:01.000000', NULL, 0, TRUE),
  (3, 'deliver', 'done', 2, 1, 12, '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', NULL, NULL, '2026-01-01 00:00:01.000000', NULL, 0, TRUE),
  (4, 'analyse', 'done', 2, 1, 3, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', NULL, NULL, '2026-10-18 08:00:00.000000', NULL, 0, FALSE),
  (5, 'deliver', 'dead', 3, 1, 5, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', NULL, NULL, '2026-10-18 08:00:00.000000', 'refused for good', 5, FALSE),
  (6, 'deliver', 'waiting', 4, 0, 5, '2026-10-18 08:01:00.000000', '2026-10-18 08:00:00.000000', NULL, NULL, NULL, 'stored; to be committed to', 5, FALSE),
  (7, 'deliver', 'waiting', 5, 0, 5, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', NULL, NULL, NULL, NULL, 5, FALSE),
  (8, 'deliver', 'waiting', 6, 0, 5, '2026-10-18 08:00:05.000000', '2026-10-18 08:00:00.000000', NULL, NULL, NULL, NULL, 5, FALSE),
  (9, 'analyse', 'running', 3, 1, 3, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', 'host/1/2', '2026-10-18 08:05:00.000000', NULL, NULL, 0, FALSE),
  (10, 'analyse', 'waiting', 4, 0, 3, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', NULL, NULL, NULL, NULL, 0, FALSE);
INSERT INTO studies (id, study_instance_uid, open_since, last_received_at, revision, patient_digest, quiet_until, conflict_at, removed_at) VALUES
  (1, '1.2.1', NULL, '2026-01-01 00:00:01.000000', 1, '0000000000000000000000000000000000000000000000000000000000000001', NULL, NULL, NULL),
  (2, '1.2.50', NULL, '2026-10-18 08:00:00.000000', 1, '', NULL, NULL, NULL),
  (3, '1.2.51', NULL, '2026-10-18 08:00:00.000000', 1, '', NULL, NULL, NULL),
  (4, '1.2.52', '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', 0, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '2026-10-18 08:01:00.000000', '2026-10-18 08:00:00.000000', NULL),
  (5, '1.2.52', '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', 0, 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', '2026-10-18 08:01:00.000000', '2026-10-18 08:00:00.000000', NULL),
  (6, '1.2.53', NULL, '2026-10-18 08:00:00.000000', 1, '', NULL, NULL, NULL);
INSERT INTO analyses (id, study_id, revision, key, result, superseded, created_at, finished_at, urgency, bundle_digest) VALUES
  (1, 1, 1, 'key of 1', '{}', FALSE, '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', NULL, ''),
  (2, 2, 1, 'key of 1.2.50', '{}', FALSE, '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', 'emergency', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'),
  (3, 3, 1, NULL, NULL, FALSE, '2026-10-18 08:00:00.000000', NULL, NULL, ''),
  (4, 6, 1, NULL, NULL, FALSE, '2026-10-18 08:00:00.000000', NULL, NULL, '');
INSERT INTO instances (id, study_id, series_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid, file_key, size_bytes, sha256, source_ae_title, received_at, opens_study, ordinal, revision, source, removed_at, missing_at) VALUES
  (1, 1, '1.2.1.1', '1.2.1.1.1', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.1.1.1', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-01-01 00:00:01.000000', TRUE, 1, 1, '', NULL, '2026-10-18 08:00:00.000000'),
  (2, 1, '1.2.1.1', '1.2.1.1.2', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.1.1.2', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-01-01 00:00:01.000000', TRUE, 2, 1, '', NULL, NULL),
  (3, 2, '1.2.50.1', '1.2.50.1.1', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.50.1.1', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-10-18 08:00:00.000000', TRUE, 1, 1, '', NULL, NULL),
  (4, 3, '1.2.51.1', '1.2.51.1.1', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.51.1.1', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-10-18 08:00:00.000000', TRUE, 1, 1, '', NULL, NULL),
  (5, 4, '1.2.52.1', '1.2.52.1', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.52.1', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-10-18 08:00:00.000000', TRUE, 1, NULL, '', NULL, NULL),
  (6, 5, '1.2.52.1', '1.2.52.2', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.52.2', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-10-18 08:00:00.000000', TRUE, 1, NULL, '', NULL, NULL),
  (7, 6, '1.2.53.1', '1.2.53.1.1', '1.2.840.10008.5.1.4.1.1.77.1.5.1', '1.2.840.10008.1.2.4.50', 'key-of-1.2.53.1.1', 5000000000, '0000000000000000000000000000000000000000000000000000000000000000', 'CAMERA', '2026-10-18 08:00:00.000000', TRUE, 1, 1, '', NULL, NULL);
INSERT INTO outputs (id, analysis_id, kind, sop_class_uid, sop_instance_uid, series_instance_uid, file_key, created_at, removed_at, missing_at, form) VALUES
  (1, 1, 'heatmap', '1.2.840.10008.5.1.4.1.1.88.33', '2.25.11', '2.25.1', 'key-of-2.25.11', '2026-01-01 00:00:01.000000', NULL, NULL, ''),
  (2, 1, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '2.25.21', '2.25.1', 'key-of-2.25.21', '2026-01-01 00:00:01.000000', NULL, NULL, ''),
  (3, 2, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '2.25.501', '2.25.1', 'key-of-2.25.501', '2026-10-18 08:00:00.000000', NULL, NULL, ''),
  (4, 2, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '2.25.502', '2.25.1', 'key-of-2.25.502', '2026-10-18 08:00:00.000000', NULL, NULL, '');
INSERT INTO deliveries (id, output_id, destination, status, comment, answered_at, stored_at, transaction_uid, asked_at, asks, committed_at, failure) VALUES
  (1, 1, 'pacs', 0, '', '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', '2.25.31.0', '2026-01-01 00:00:01.000000', 1, '2026-01-01 00:00:01.000000', NULL),
  (2, 2, 'pacs', 0, '', '2026-01-01 00:00:01.000000', '2026-01-01 00:00:01.000000', '2.25.31.1', '2026-01-01 00:00:01.000000', 1, '2026-01-01 00:00:01.000000', NULL),
  (3, 3, 'pacs', 43264, 'data set does not match', '2026-10-18 08:00:00.000000', NULL, NULL, NULL, 0, NULL, NULL),
  (4, 3, 'record', 0, '', '2026-10-18 08:00:00.000000', '2026-10-18 08:00:00.000000', '2.25.99', '2026-10-18 08:00:00.000000', 1, NULL, NULL),
  (5, 4, 'pacs', NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL),
  (6, 4, 'record', NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL);
INSERT INTO commitment_requests (transaction_uid, delivery_id) VALUES
  ('2.25.99', 4);
