variable "charts" {
  description = "Repository, name and version of each chart."
  type = object({
    base    = object({ repository = string, chart = string, version = string })
    istiod  = object({ repository = string, chart = string, version = string })
    gateway = object({ repository = string, chart = string, version = string })
  })
}
