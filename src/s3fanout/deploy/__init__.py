"""Everything that builds, changes and looks at the AWS side: template, package, stack."""
