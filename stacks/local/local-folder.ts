/** The folder with everything that `npm start` keeps, relative to the current folder. The commands work on it. */
export const localFolder = ".local";
