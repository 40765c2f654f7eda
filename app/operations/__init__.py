"""The verbs of the business, one module per journey. Each checks everything, then writes, in one transaction."""
