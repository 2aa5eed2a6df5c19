// The EC2 instances that a stage may start and stop.

/** On every resource of the department's (stacks/tags.ts). An instance without it is nobody's here. */
export const instanceTag = { key: "Application", value: "DataPipeline" } as const;
