// The SST app. Its resources are declared in stacks/, one file per concern; docs/deploy.md explains how to deploy,
// debug and remove it. SST allows no top-level imports in this file.
export default $config({
  async app(input) {
    const { library } = await import("#library");
    const { appName, stageSettings } = await import("./stacks/stage.ts");
    const { production } = stageSettings(input.stage, process.env);
    return {
      name: appName,
      home: "aws",
      protect: production,
      removal: production ? "retain" : "remove",
      providers: {
        aws: { version: "7.20.0", region: library.region, defaultTags: { tags: library.tags } },
      },
    };
  },

  /** Creates the resources that each imported file declares. */
  async run() {
    const { data, results } = await import("./stacks/storage.ts");
    const { bus } = await import("./stacks/messaging.ts");
    const { analystsWorkgroups, database, resultsOf } = await import("./stacks/workgroups.ts");
    await import("./stacks/services.ts");
    await import("./stacks/routes.ts");
    await import("./stacks/schedule.ts");
    await import("./stacks/monitoring.ts");
    const { currentStage } = await import("./stacks/stage.ts");
    const { audience } = currentStage();
    const { analysts } = await import("./stacks/analyst-policy.ts");
    await import("./stacks/forget-policy.ts");
    await import("./stacks/command-settings.ts");
    return {
      bus: bus.name,
      data: data.name,
      results: results.name,
      // Connection settings for analysts.
      analysts,
      audience: {
        full: "full: with an analyst's key, names and comments can be read",
        deidentified: "deidentified",
      }[audience],
      analystsWorkgroup: analystsWorkgroups[audience].name,
      analystsResults: resultsOf(audience),
      database,
    };
  },
});
