"""The application: tasks, configuration, sending and running."""
