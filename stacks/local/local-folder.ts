/** What `npm start` keeps, below the folder where it runs. The commands work on it. */
export const localFolder = ".local";
