"""Settings of Celery that this release does not implement: names only, so that they are known for what they are.

A name that was another before version 4 of Celery is followed by the old one; the others were the same in upper case.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FUTURE", "FUTURE_OLD"]

_NAMES: Final = """
    redis_host:CELERY_REDIS_HOST redis_port:CELERY_REDIS_PORT redis_db:CELERY_REDIS_DB
    redis_username:CELERY_REDIS_USERNAME redis_password:CELERY_REDIS_PASSWORD task_protocol:CELERY_TASK_PROTOCOL
    task_send_sent_event:CELERY_SEND_TASK_SENT_EVENT worker_direct:CELERY_WORKER_DIRECT
    CELERY_DB_REUSE_MAX arangodb_backend_settings:CELERY_ARANGODB_BACKEND_SETTINGS azureblockblob_base_path
    azureblockblob_connection_timeout azureblockblob_container_name azureblockblob_read_timeout
    azureblockblob_retry_increment_base azureblockblob_retry_initial_backoff_sec azureblockblob_retry_max_attempts
    beat_cron_starting_deadline:CELERYBEAT_CRON_STARTING_DEADLINE beat_enable_remote_control beat_executable
    beat_gid beat_logfile beat_max_loop_interval:CELERYBEAT_MAX_LOOP_INTERVAL beat_pidfile
    beat_remote_control_max_tick_age beat_schedule:CELERYBEAT_SCHEDULE
    beat_schedule_filename:CELERYBEAT_SCHEDULE_FILENAME beat_scheduler:CELERYBEAT_SCHEDULER
    beat_sync_every:CELERYBEAT_SYNC_EVERY beat_uid beat_umask broker_channel_error_retry
    broker_heartbeat_checkrate broker_host broker_password broker_pool_acquire_timeout broker_port
    broker_transport broker_user broker_vhost cache_backend:CELERY_CACHE_BACKEND
    cache_backend_options:CELERY_CACHE_BACKEND_OPTIONS cassandra_auth_kwargs cassandra_auth_provider
    cassandra_bundle_path cassandra_entry_ttl cassandra_keyspace cassandra_options cassandra_port
    cassandra_read_consistency cassandra_secure_bundle_path cassandra_servers cassandra_table
    cassandra_write_consistency control_exchange control_queue_durable control_queue_exclusive
    control_queue_expires control_queue_ttl cosmosdbsql_collection_name cosmosdbsql_consistency_level
    cosmosdbsql_database_name cosmosdbsql_max_retry_attempts cosmosdbsql_max_retry_wait_time
    couchbase_backend_settings:CELERY_COUCHBASE_BACKEND_SETTINGS database_create_tables_at_setup
    database_engine_callback database_engine_options:CELERY_RESULT_ENGINE_OPTIONS
    database_short_lived_sessions:CELERY_RESULT_DB_SHORT_LIVED_SESSIONS
    database_table_names:CELERY_RESULT_DB_TABLENAMES database_table_schemas database_url:CELERY_RESULT_DBURI
    dynamodb_endpoint_url elasticsearch_max_retries:CELERY_ELASTICSEARCH_MAX_RETRIES
    elasticsearch_retry_on_timeout:CELERY_ELASTICSEARCH_RETRY_ON_TIMEOUT
    elasticsearch_save_meta_as_text:CELERY_ELASTICSEARCH_SAVE_META_AS_TEXT
    elasticsearch_timeout:CELERY_ELASTICSEARCH_TIMEOUT event_exchange:CELERY_EVENT_EXCHANGE
    event_queue_durable:CELERY_EVENT_QUEUE_DURABLE event_queue_exclusive:CELERY_EVENT_QUEUE_EXCLUSIVE
    event_queue_expires:CELERY_EVENT_QUEUE_EXPIRES event_queue_prefix:CELERY_EVENT_QUEUE_PREFIX
    event_queue_ttl:CELERY_EVENT_QUEUE_TTL event_serializer:CELERY_EVENT_SERIALIZER events_executable events_gid
    events_logfile events_pidfile events_uid events_umask firestore_project gcs_base_path gcs_bucket gcs_project
    gcs_threadpool_maxsize gcs_ttl mongodb_backend_settings:CELERY_MONGODB_BACKEND_SETTINGS override_backends
    redis_backend_credential_provider result_backend_thread_safe result_cache_max:CELERY_MAX_CACHED_RESULTS
    result_chord_expires result_chord_join_timeout:CELERY_RESULT_CHORD_JOIN_TIMEOUT
    result_chord_retry_interval:CELERY_RESULT_CHORD_RETRY_INTERVAL result_compression:CELERY_RESULT_COMPRESSION
    result_exchange:CELERY_RESULT_EXCHANGE result_exchange_type:CELERY_RESULT_EXCHANGE_TYPE result_failure_expires
    s3_access_key_id s3_base_path s3_bucket s3_endpoint_url s3_region
    s3_secret_access_key security_cert_store:CELERY_SECURITY_CERT_STORE
    security_certificate:CELERY_SECURITY_CERTIFICATE security_digest:CELERY_SECURITY_DIGEST
    security_key:CELERY_SECURITY_KEY security_key_password:CELERY_SECURITY_KEY_PASSWORD
    task_retry_on_worker_lost
    worker_agent:CELERYD_AGENT worker_autoscaler:CELERYD_AUTOSCALER
    worker_cancel_long_running_tasks_on_connection_loss:CELERYD_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS
    worker_consumer:CELERYD_CONSUMER worker_deduplicate_successful_tasks:CELERYD_DEDUPLICATE_SUCCESSFUL_TASKS
    worker_disable_prefetch:CELERYD_DISABLE_PREFETCH
    worker_enable_prefetch_count_reduction:CELERYD_ENABLE_PREFETCH_COUNT_REDUCTION
    worker_enable_remote_control:CELERY_ENABLE_REMOTE_CONTROL worker_eta_task_limit:CELERYD_ETA_TASK_LIMIT
    worker_executable worker_gid worker_pidfile worker_pool_putlocks:CELERYD_POOL_PUTLOCKS
    worker_pool_restarts:CELERYD_POOL_RESTARTS worker_pool_start_method worker_send_task_events:CELERY_SEND_EVENTS
    worker_state_db:CELERYD_STATE_DB worker_timer:CELERYD_TIMER worker_timer_precision:CELERYD_TIMER_PRECISION
    worker_uid worker_umask
"""

FUTURE: Final = frozenset(word.partition(":")[0] for word in _NAMES.split())

FUTURE_OLD: Final = {old or name.upper(): name for name, _, old in (word.partition(":") for word in _NAMES.split())}
