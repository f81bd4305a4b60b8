"""What ``celeriac doctor`` looks at: settings that fight each other, tasks and routes, stores and their servers."""
