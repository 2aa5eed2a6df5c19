// The app: `npx sst deploy --stage production`. What it creates stands in stacks/, one file a concern.
// SST allows no imports up here; stacks/README.md tells how to deploy, debug and remove.
export default $config({
  async app(input) {
    const { appName, appRegion, stageSettings } = await import("./stacks/stage.ts");
    const { tags } = await import("./stacks/tags.ts");
    const { production } = stageSettings(input.stage, process.env);
    return {
      name: appName,
      home: "aws",
      protect: production,
      removal: production ? "retain" : "remove",
      providers: { aws: { version: "7.20.0", region: appRegion, defaultTags: { tags } } },
    };
  },

  /** Each import creates what its file declares. */
  async run() {
    const { data, results } = await import("./stacks/storage.ts");
    const { bus } = await import("./stacks/messaging.ts");
    const { analystsResults, analystsWorkgroup, database } = await import("./stacks/workgroups.ts");
    await import("./stacks/services.ts");
    await import("./stacks/routes.ts");
    await import("./stacks/schedule.ts");
    await import("./stacks/monitoring.ts");
    const { analysts } = await import("./stacks/analyst-policy.ts");
    await import("./stacks/command-settings.ts");
    return {
      bus: bus.name,
      data: data.name,
      results: results.name,
      // What an analyst has to be told.
      analysts,
      analystsWorkgroup: analystsWorkgroup.name,
      analystsResults,
      database,
    };
  },
});
