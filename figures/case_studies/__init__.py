"""The chapter's case studies."""
