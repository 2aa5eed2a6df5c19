// The tags of every resource, set as the AWS provider's default tags. The predecessor has the same, and the department
// finds its costs by them.
export const tags = {
  Unit: "AnalyticsAssessment",
  Owner: "DataServices",
  Stack: "Test",
  User: "elliek",
  Application: "DataPipeline",
};
