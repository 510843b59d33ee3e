package assembly

// ExistingFile is the name of the template that describes what exists already, in the directory of an assembly.
const ExistingFile = "existing.template.json"
